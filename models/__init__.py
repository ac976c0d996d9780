"""Calls to models: which model is asked, with which settings, and what happens if it fails.

speaking      speak(): the call for text that nodes make
painting      paint(): the call for a picture
model_call    one model's attempts, retries and errors
registry      from an entry of the council to a chat model with the right key
resolved      a model with all the settings that a call needs
adaptation    which parameters and schemas a model accepts
retry         circuit breakers
clients       the HTTP clients of one event loop
prices        what a model costs, by the user's own table
lanes         models that share hardware or a rate limit take turns
providers/    the code for each vendor's API
tools/        tools and MCP servers
"""
