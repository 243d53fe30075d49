"""A world from a seed: real nodes, an invented network, disk and clock, and an oracle that judges.

Nothing here knows how a node works. It drives `respdyn.node.Node` exactly as a server does, does
it harm, heals it, and compares what clients were answered with what is there in the end. The same
seed gives the same run, byte for byte, so a failure is a number.

Source: FoundationDB's simulation (swizzling), TigerBeetle's VOPR (swarm, fault atlas).
"""
