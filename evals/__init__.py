"""Evaluations: does a council pay, measured on data of one's own.

`record` keeps what models answer, `run` plays a council against its baselines, `scorers` say what
is right, `ledger` remembers who was, `facts` looks at what a synthesis keeps.
"""
