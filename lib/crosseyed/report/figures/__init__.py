"""The figures of the book, in one style: tables of `crosseyed.measure.bootstrap` in, matplotlib figures out.

The functions neither save nor show a figure: in a notebook it appears as the value of the cell, in a script
``figure.savefig`` writes it. They leave the table and matplotlib's settings as they were. A table that is empty, lacks
a column, has several rows for one mark or intervals of several confidences raises InputError.

Parameters shared by all functions:

- ``table``: a row for each mark, `low` and `high` the ends of its interval, `confidence` their level. Lines, bars and
  panels appear in the order of the rows.
- ``hue``: column with a line, bar or marker for each of its values.
- ``panel``: column with a panel for each of its values; without that column there is one panel.
- ``label``: column with the names of the bars or lines.
- ``xlabel``, ``ylabel``: names of the axes, with units.
- ``title``: title of the figure; some figures state by default what the table shows.
"""
