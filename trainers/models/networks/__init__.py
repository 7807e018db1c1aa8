"""Networks: one module for each architecture, with a function `build(architecture)`."""
