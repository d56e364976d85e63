"""The log's mathematics: Merkle tree, proofs, tiles, signed notes, checkpoints. Pure: no database, no network."""
