"""The prompts every council speaks unless it says otherwise."""
