// Judges a log of records with the packages by which Go's checksum database is believed (golang.org/x/mod/sumdb): the
// checkpoint's signature, the root by its tiles, each leaf's place in it, and that the tree begins with an earlier one.
//
// tlog URL KEY EARLIER: the log's prefix, its verifier key, and a file with an earlier checkpoint.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("wanted: URL KEY EARLIER"))
	}
	prefix, earlier := os.Args[1], must(os.ReadFile(os.Args[3]))
	verifiers := note.VerifierList(must(note.NewVerifier(os.Args[2])))
	old := tree(must(note.Open(earlier, verifiers)))
	now := tree(must(note.Open(must(get(prefix+"/checkpoint")), verifiers)))
	reader := tlog.TileHashReader(now, &tiles{prefix})
	proof := must(tlog.ProveTree(now.N, old.N, reader))
	check(tlog.CheckTree(proof, now.N, now.Hash, old.N, old.Hash))
	records := int64(0)
	for records < now.N {
		width := min(now.N-records, 1<<height)
		bundle := must(get(prefix + "/" + path(tlog.Tile{H: height, L: -1, N: records >> height, W: int(width)})))
		for range width {
			length := int(bundle[0])<<8 | int(bundle[1])
			record := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			proof := must(tlog.ProveRecord(now.N, records, reader))
			check(tlog.CheckRecord(proof, now.N, now.Hash, records, tlog.RecordHash(record)))
			records++
		}
		if len(bundle) != 0 {
			fail(fmt.Errorf("%d bytes follow the last record of a bundle", len(bundle)))
		}
	}
	fmt.Printf("%d records are in the tree, which begins with the one of %d\n", records, old.N)
}

// The first three lines of a checkpoint.
func tree(signed *note.Note) tlog.Tree {
	lines := strings.SplitN(signed.Text, "\n", 4)
	if len(lines) < 4 {
		fail(fmt.Errorf("no checkpoint: %q", signed.Text))
	}
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: must(tlog.ParseHash(lines[2]))}
}

type tiles struct{ prefix string }

func (*tiles) Height() int { return height }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		bytes, err := get(t.prefix + "/" + path(tile))
		if err != nil {
			return nil, err
		}
		read = append(read, bytes)
	}
	return read, nil
}

func (*tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// Where C2SP's tlog-tiles has a tile: the height is always 8 there, and tiles of records are called entries.
func path(tile tlog.Tile) string {
	return strings.Replace(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, 1<<20))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "tlog:", err)
	os.Exit(1)
}
