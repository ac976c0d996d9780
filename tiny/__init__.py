"""The weights of the three embedded tiny models, one GGUF file each; see docs/tiny-models.md."""
