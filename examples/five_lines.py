"""The council in five lines, for a script or a notebook."""

from mom_council import council

desk = council("demo")
result = desk.invoke({"messages": [("user", "What is 17 + 25?")]})
print(result["messages"][-1].text)
print(result["status"].stop_reason, result["status"].dissent)
