-- name: insert_cosignature
INSERT INTO cosignature (book_id, size, witness, line, witnessed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT cosignature_pkey DO NOTHING

-- name: newest_size_of_witness
SELECT coalesce(max(size), 0) FROM cosignature WHERE book_id = $1 AND witness = $2
