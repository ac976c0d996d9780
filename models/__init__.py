"""Calls to models: which model is asked, with which settings, and what happens if it fails.

speaking      speak(): the call for text that nodes make
painting      paint(): the call for a picture
model_call    one model's attempts, retries and errors
resolved      a model with all that a call needs: settings, address, key, lane
capabilities  what a model can do, and which parameters and schemas it accepts
retry         circuit breakers
clients       the HTTP clients of one event loop
prices        what a model costs, by the user's own table
lanes         models that share hardware or a rate limit take turns
providers/    how a chat model is opened, and the code for each vendor's API
tools/        tools and MCP servers
"""
