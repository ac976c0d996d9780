"""The voices: which model is asked, how, and what is done when it does not answer.

speaking    speak(): the one call that nodes make
registry    a voice in the council -> a chat model, with the right key
providers/  who can be asked
retry       what went wrong, and whether to try again
terms       which parameters a vendor takes, and by what names
breaker     a model that keeps failing is left alone for a while
clients     one event loop's HTTP clients
prices      what a model costs, by the user's own table
lanes       taking turns on shared hardware
"""
