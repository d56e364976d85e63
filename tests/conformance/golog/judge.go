// Judge reads a case as JSON from standard input and answers on standard output what Go's own
// implementation (golang.org/x/mod/sumdb/note and tlog) says of it. It shares no code with what it judges.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Record is one entry with its inclusion proof; byte slices travel as base64.
type Record struct {
	Index  int64
	Data   []byte
	Hashes [][]byte
}

// Older is an earlier checkpoint with the consistency proof to the newest.
type Older struct {
	Checkpoint []byte
	Hashes     [][]byte
}

// Case is what is to be judged.
type Case struct {
	Verifier   string
	Checkpoint []byte
	Records    []Record
	Older      []Older
	Tiles      map[string][]byte
	Notes      [][]byte // each is only opened
	Text       string   // signed with a new key named Name
	Name       string
}

// Answer is what Go says; Complaints is empty when all is well.
type Answer struct {
	Complaints []string
	Opens      []bool // of Notes
	Secret     string
	Public     string
	Signed     []byte
}

func main() {
	var asked Case
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	answer := Answer{Complaints: []string{}, Opens: []bool{}}
	if asked.Text != "" {
		signNew(asked, &answer)
	} else {
		judge(asked, &answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}

func signNew(asked Case, answer *Answer) {
	secret, public, err := note.GenerateKey(nil, asked.Name)
	check(err)
	signer, err := note.NewSigner(secret)
	check(err)
	signed, err := note.Sign(&note.Note{Text: asked.Text}, signer)
	check(err)
	answer.Secret, answer.Public, answer.Signed = secret, public, signed
}

func judge(asked Case, answer *Answer) {
	verifier, err := note.NewVerifier(asked.Verifier)
	check(err)
	known := note.VerifierList(verifier)
	complain := func(what string, err error) {
		if err != nil {
			answer.Complaints = append(answer.Complaints, what+": "+err.Error())
		}
	}
	for _, each := range asked.Notes {
		_, err := note.Open(each, known)
		answer.Opens = append(answer.Opens, err == nil)
	}
	if asked.Checkpoint == nil {
		return
	}
	tree, err := open(asked.Checkpoint, known)
	complain("checkpoint", err)
	for _, record := range asked.Records {
		err := tlog.CheckRecord(hashes(record.Hashes), tree.N, tree.Hash, record.Index, tlog.RecordHash(record.Data))
		complain(fmt.Sprintf("record %d", record.Index), err)
		complain(fmt.Sprintf("record %d from tiles", record.Index), fromTiles(tree, record, asked.Tiles))
	}
	for _, older := range asked.Older {
		before, err := open(older.Checkpoint, known)
		complain("older checkpoint", err)
		err = tlog.CheckTree(tlog.TreeProof(hashes(older.Hashes)), tree.N, tree.Hash, before.N, before.Hash)
		complain(fmt.Sprintf("from %d to %d", before.N, tree.N), err)
	}
}

// open reads a checkpoint; tlog.ParseTree knows only the checksum database's own header.
func open(signed []byte, known note.Verifiers) (tlog.Tree, error) {
	opened, err := note.Open(signed, known)
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != opened.Sigs[0].Name || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("not three lines, or not the signer's: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// fromTiles lets Go make the proof out of our tiles, which it authenticates against the root, and compares.
func fromTiles(tree tlog.Tree, record Record, tiles map[string][]byte) error {
	proof, err := tlog.ProveRecord(tree.N, record.Index, tlog.TileHashReader(tree, reader(tiles)))
	if err != nil {
		return err
	}
	if len(proof) != len(record.Hashes) {
		return fmt.Errorf("%d hashes, not %d", len(record.Hashes), len(proof))
	}
	for place := range proof {
		if !bytes.Equal(proof[place][:], record.Hashes[place]) {
			return fmt.Errorf("hash %d differs: %s", place, base64.StdEncoding.EncodeToString(record.Hashes[place]))
		}
	}
	return nil
}

type reader map[string][]byte

func (reader) Height() int { return 8 }

func (tiles reader) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, 0, len(wanted))
	for _, tile := range wanted {
		// Go's addresses name the height, which the specification fixes and leaves out.
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		content, ok := tiles[path]
		if !ok {
			return nil, fmt.Errorf("no %s", path)
		}
		found = append(found, content)
	}
	return found, nil
}

func (reader) SaveTiles([]tlog.Tile, [][]byte) {}

func hashes(from [][]byte) []tlog.Hash {
	to := make([]tlog.Hash, len(from))
	for place, value := range from {
		if copy(to[place][:], value) != tlog.HashSize || len(value) != tlog.HashSize {
			log.Fatalf("a hash of %d bytes", len(value))
		}
	}
	return to
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
