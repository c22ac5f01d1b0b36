"""The parts of a clinical report: sections of the page, the JSON and the model card beside it, tables in LaTeX."""
