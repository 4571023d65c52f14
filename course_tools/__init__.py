"""The course's tools: they turn notebooks into a library, tests and a site, and check answers.

They work on a checkout of the course and are no part of the library: its wheel lacks them.
"""
