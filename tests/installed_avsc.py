"""avsc, the library of Avro for Node, as the tests that call the server from Node have it."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "tests" / "conformance" / "avro_peers"


def installed_avsc() -> Path:
    """Return a directory with avsc in it, pinned by its hash; installed once, and again when the pin changes."""
    pinned = PEERS / "package-lock.json"
    integrity = json.loads(pinned.read_text(encoding="utf-8"))["packages"]["node_modules/avsc"]["integrity"]
    cache = ROOT / ".cache" / f"avro-peers-{integrity[-12:].replace('/', '_').rstrip('=')}"
    if not cache.exists():
        install(PEERS, cache)
    return cache


def install(peers: Path, cache: Path) -> None:
    """Make the directory *cache* with what *peers* pins in it."""
    for tool in ("node", "npm"):
        assert shutil.which(tool), f"{tool} is missing: the peers in Node are tested with it (.ci/run installs it)"
    cache.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as made:
        home = Path(made) / "home"
        home.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(peers / name, home)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=2"]
        installed = subprocess.run(command, cwd=home, env=os.environ, capture_output=True, text=True, check=False)
        assert installed.returncode == 0, installed.stderr[-1000:]
        if not cache.exists():
            home.rename(cache)
