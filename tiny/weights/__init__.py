"""The trained weights, one GGUF file a model."""
