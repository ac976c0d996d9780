"""One page a module; each has `page()`, which draws it. `ui.frame` lists them; `script` runs it."""
