"""Prompts in few words, for models with small windows."""
