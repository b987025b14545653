"""The report: what bench/compare measured, as pages, figures and text.

figures.py says which numbers answer which question, words.py what they allow
to say, and page.py, drawing.py, plots.py and terminal.py show them. Statistics
are those of results.py and verdicts.py and no others.
"""
