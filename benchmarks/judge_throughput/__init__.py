"""Gradings through this project and through other judges' own runners, each in an environment of its own."""
