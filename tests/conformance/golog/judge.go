// Judge reads a case as JSON from standard input and answers on standard output what Go's own
// implementation (golang.org/x/mod/sumdb/note and tlog) says of it. It shares no code with what it judges.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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
	Bundles    map[string][]byte // every entry must be the one whose hash the tiles hold
	Witness    string            // the key of a witness that must have cosigned Checkpoint
	Rewritten  *Older            // an earlier checkpoint that the newest does not continue, with what shows it
	RootWithin []byte            // the root that the newest tree has at that size
	Notes      [][]byte          // each is only opened
	Text       string            // signed with a new key named Name
	Name       string
}

// Answer is what Go says; Complaints is empty when all is well.
type Answer struct {
	Complaints []string
	Opens      []bool // of Notes
	Secret     string
	Public     string
	Signed     []byte
	Cosigned   []byte // a line of a new witness, whose key is Cosigner
	Cosigner   string
	Time       uint64 // of the cosignature by Witness
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
	key, private, err := ed25519.GenerateKey(nil)
	check(err)
	value := binary.BigEndian.AppendUint64(nil, 1679315147)
	value = append(value, ed25519.Sign(private, cosigned(asked.Text, 1679315147))...)
	id := cosignerID(asked.Name, key)
	answer.Cosigner = fmt.Sprintf("%s+%08x+%s", asked.Name, id, base64.StdEncoding.EncodeToString(append([]byte{4}, key...)))
	value = append(binary.BigEndian.AppendUint32(nil, id), value...)
	answer.Cosigned = []byte(fmt.Sprintf("\u2014 %s %s\n", asked.Name, base64.StdEncoding.EncodeToString(value)))
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
	for path, bundle := range asked.Bundles {
		complain(path, entries(tree, path, bundle, asked.Tiles))
	}
	if asked.Witness != "" {
		witness, err := newCosigner(asked.Witness)
		check(err)
		_, err = note.Open(asked.Checkpoint, note.VerifierList(witness))
		complain("witness", err)
		answer.Time = witness.time
	}
	if asked.Rewritten != nil {
		before, err := open(asked.Rewritten.Checkpoint, known)
		complain("rewritten checkpoint", err)
		within, err := tlog.ParseHash(base64.StdEncoding.EncodeToString(asked.RootWithin))
		complain("root within", err)
		err = tlog.CheckTree(tlog.TreeProof(hashes(asked.Rewritten.Hashes)), tree.N, tree.Hash, before.N, within)
		complain("rewritten", err)
		if within == before.Hash {
			complain("rewritten", fmt.Errorf("it is not"))
		}
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

// entries takes a bundle apart and holds each entry against the leaf that Go reads from our tiles.
func entries(tree tlog.Tree, path string, bundle []byte, tiles map[string][]byte) error {
	number := strings.TrimPrefix(path, "tile/entries/")
	number, _, _ = strings.Cut(number, ".p/")
	first, err := strconv.ParseInt(strings.NewReplacer("x", "", "/", "").Replace(number), 10, 64)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, reader(tiles))
	place := first * 256
	for ; len(bundle) > 0; place++ {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return fmt.Errorf("it ends within entry %d", place)
		}
		length := 2 + int(binary.BigEndian.Uint16(bundle))
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, place)})
		if err != nil {
			return err
		}
		if leaf[0] != tlog.RecordHash(bundle[2:length]) {
			return fmt.Errorf("entry %d is another", place)
		}
		bundle = bundle[length:]
	}
	if place != tree.N && place != (first+1)*256 {
		return fmt.Errorf("it ends before place %d", place)
	}
	return nil
}

// cosigner verifies cosignatures as the specification has them; x/mod knows plain signatures only.
type cosigner struct {
	name string
	id   uint32
	key  ed25519.PublicKey
	time uint64 // of the last signature that held
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("not a key: %q", vkey)
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 33 || raw[0] != 4 {
		return nil, fmt.Errorf("not a cosigner's key: %q", vkey)
	}
	found := &cosigner{name: parts[0], id: cosignerID(parts[0], raw[1:]), key: raw[1:]}
	if fmt.Sprintf("%08x", found.id) != parts[1] {
		return nil, fmt.Errorf("another id than %08x: %q", found.id, vkey)
	}
	return found, nil
}

func cosignerID(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n\x04"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func cosigned(text string, time uint64) []byte {
	return []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text))
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.id }
func (c *cosigner) Verify(text, value []byte) bool {
	if len(value) != 8+ed25519.SignatureSize {
		return false
	}
	c.time = binary.BigEndian.Uint64(value)
	return ed25519.Verify(c.key, cosigned(string(text), c.time), value[8:])
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
