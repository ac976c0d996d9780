"""Council files: their schema, reading, checks, importers and presets. No graph, no model."""
