"""Revised labels for people: what was changed in each, as pictures, a page and lists."""
