"""Traces and reports as one HTML file each, which asks the network for nothing.

Components are pure functions from plain data to a fragment of HTML; shell.py puts fragments into a document. What
comes from spans is escaped wherever it stands (jinja2's autoescape), and the document's own security policy lets no
script run but the page's. Nothing is said by colour alone; everything can be reached by keyboard.
"""
