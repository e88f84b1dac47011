"""images.py DIST: what `make image` has left in DIST/image is what the fetchers of Istio, Envoy Gateway and docker expect, and the
same bytes when it is made again. Prints a line as cargo's tests do."""

import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

FILES = ("weir-wasm.tar", "weir-wasm-oci.tar", "weir.tar")


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: (archive.extractfile(m).read() if m.isfile() else None, m) for m in archive.getmembers()}


class Opened:
    """An OCI layout whose every descriptor has been held against its blob."""

    def __init__(self, path):
        self.files = {name: data for name, (data, _) in members(path.read_bytes()).items()}
        assert json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        (entry,) = json.loads(self.files["index.json"])["manifests"]
        self.manifest = json.loads(self.blob(entry))
        assert self.manifest["mediaType"] == entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.layers = [(layer["mediaType"], self.blob(layer)) for layer in self.manifest["layers"]]

    def blob(self, descriptor):
        algorithm, digest = descriptor["digest"].split(":")
        data = self.files[f"blobs/{algorithm}/{digest}"]
        assert len(data) == descriptor["size"] and hashlib.sha256(data).hexdigest() == digest, descriptor
        return data

    def plain_layer(self):
        ((kind, data),) = self.layers
        assert kind == "application/vnd.oci.image.layer.v1.tar+gzip"
        plain = gzip.decompress(data)
        assert self.config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
        return members(plain)


def compat_variant(dist):
    image = Opened(dist / "image/weir-wasm.tar")
    assert image.plain_layer()["plugin.wasm"][0] == (dist / "weir.wasm").read_bytes()


def oci_variant(dist):
    image = Opened(dist / "image/weir-wasm-oci.tar")
    wasm = (dist / "weir.wasm").read_bytes()
    # Istio's fetcher wants exactly two layers, and the wasm's by its media type.
    assert len(image.layers) == 2
    assert dict(image.layers)["application/vnd.module.wasm.content.layer.v1+wasm"] == wasm
    assert image.manifest["config"]["mediaType"] == "application/vnd.module.wasm.config.v1+json"
    assert image.config["sha256"] == hashlib.sha256(wasm).hexdigest()


def binary_image(dist):
    image = Opened(dist / "image/weir.tar")
    files = image.plain_layer()
    assert files["weir/weir"][0] == (dist / "image/weir").read_bytes() and files["weir/weir"][1].mode == 0o755
    assert files["weir/weir.wasm"][0] == (dist / "weir.wasm").read_bytes()
    assert image.config["config"]["User"] == "65532:65532" and image.config["config"]["Entrypoint"] == ["/weir/weir"]
    assert (files["records"][1].uid, files["records"][1].gid) == (65532, 65532), "a volume could not be written"
    (loaded,) = json.loads(image.files["manifest.json"])
    assert loaded["Config"] in image.files and set(loaded["Layers"]) <= set(image.files)


def made_again(dist):
    version = json.loads(members((dist / "image/weir.tar").read_bytes())["manifest.json"][0])[0]["RepoTags"][0].split(":")[1]
    script = pathlib.Path(__file__).parents[2] / "scripts/image.py"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, script, dist / "weir.wasm", dist / "image/weir", version, folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in FILES:
            assert (pathlib.Path(folder) / name).read_bytes() == (dist / "image" / name).read_bytes(), name


def main(dist):
    tests = (compat_variant, oci_variant, binary_image, made_again)
    failed = 0
    for test in tests:
        try:
            test(pathlib.Path(dist))
            print(f"test {test.__name__} ... ok")
        except AssertionError as error:
            failed += 1
            line = error.__traceback__.tb_next.tb_lineno if error.__traceback__.tb_next else 0
            print(f"test {test.__name__} ... FAILED, line {line}: {error}")
    print(f"test result: {'FAILED' if failed else 'ok'}. {len(tests) - failed} passed; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
