"""The shape of the HTTP API: parameters and bodies, errors, content negotiation, and its description.

What the routes answer is in `routes`.
"""
