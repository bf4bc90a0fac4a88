"""The wire contract of Pilot: every document that crosses a process boundary or is stored.

Depends on pydantic only. One module per document; `names` and `canonical` hold the two rules that everything
shares: what a thing may be called, and which bytes stand for it.
"""
