"""A round, from assignment to publication. Pure: phases, slots, assign, participation, decide, gate, planning, outputs.

Edges: history and observe (what is stored), act (what is done), reconcile (the loop).
"""
