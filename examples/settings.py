"""Other rules for one run, without another council."""

from mom_council import CouncilContext, council

desk = council("demo")
question = {"messages": [("user", "What is 17 + 25?")]}
quick = CouncilContext(max_rounds=1, threshold=0.5, max_calls=10)
result = desk.invoke(question, context=quick)
print(result["status"].rounds, "round,", result["status"].usage.calls, "calls")
