"""image.py WASM BINARY VERSION FOLDER: three images into FOLDER, without a registry and without docker.

    weir-wasm.tar        the filter, as an OCI layout of an image: one tar+gzip layer with plugin.wasm (the wasm image
                         specification's "compat" variant, which container runtimes know too)
    weir-wasm-oci.tar    the same filter as an OCI artifact (its "oci" variant): the layer is the wasm itself
    weir.tar             the host binary from scratch, not root: an OCI layout that `docker load` takes too

Nothing in them depends on when or where they are made: equal files give equal digests. Prints each manifest's digest.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# https://github.com/solo-io/wasm/blob/master/spec: what Istio's and Envoy Gateway's fetchers look for.
WASM_CONFIG = "application/vnd.module.wasm.config.v1+json"
WASM_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"
#: `nonroot` of the common base images.
USER = 65532
EPOCH = "1970-01-01T00:00:00Z"


class Layout:
    """An OCI image layout with one manifest."""

    def __init__(self):
        self.blobs = {}

    def add(self, media_type, data, **more):
        """The blob's descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def manifest(self, config, layers, tag, annotations):
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": annotations,
        }
        name = {"org.opencontainers.image.ref.name": tag}
        return self.add(MANIFEST, encoded(manifest), annotations=name)

    def write(self, path, manifest, more=()):
        files = [
            ("oci-layout", encoded({"imageLayoutVersion": "1.0.0"})),
            ("index.json", encoded({"schemaVersion": 2, "manifests": [manifest]})),
            *((f"blobs/sha256/{digest}", data) for digest, data in sorted(self.blobs.items())),
            *more,
        ]
        part = path.with_suffix(".tmp")
        part.write_bytes(tar([(name, data, 0o644, 0) for name, data in files]))
        part.rename(path)
        print(f"{path.name} {manifest['digest']}")


def encoded(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tar(entries):
    """Of (name, bytes or None for a folder, mode, owner); the same bytes whoever makes it, whenever."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data, mode, owner in entries:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid = mode, owner, owner
            if data is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def image(entries, tag, config, annotations):
    """An image of one layer: its layout, manifest, and the digests that an older `docker load` wants."""
    layout, plain = Layout(), tar(entries)
    layer = layout.add(IMAGE_LAYER, gzip.compress(plain, 6, mtime=0))
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}
    history = [{"created": EPOCH, "created_by": "make image"}]
    described = {"created": EPOCH, "architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs, "history": history}
    config = layout.add(IMAGE_CONFIG, encoded(described))
    manifest = layout.manifest(config, [layer], tag, annotations)
    paths = [f"blobs/sha256/{part['digest'].removeprefix('sha256:')}" for part in (config, layer)]
    return layout, manifest, paths


def artifact(wasm, tag, annotations):
    layout = Layout()
    content = layout.add(WASM_LAYER, wasm, annotations={"org.opencontainers.image.title": "plugin.wasm"})
    # The specification's second layer: what a runtime needs to know beside the module.
    runtime = encoded({"type": "envoy_proxy", "config": {"rootIds": ["gateway", "attempt", "restore"]}})
    second = layout.add(WASM_CONFIG, runtime, annotations={"org.opencontainers.image.title": "runtime-config.json"})
    config = layout.add(WASM_CONFIG, encoded({"sha256": hashlib.sha256(wasm).hexdigest()}))
    return layout, layout.manifest(config, [content, second], tag, annotations)


def main(wasm_file, binary_file, version, folder):
    wasm, binary = pathlib.Path(wasm_file).read_bytes(), pathlib.Path(binary_file).read_bytes()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "Apache-2.0"}

    filter_told = {**told, "org.opencontainers.image.title": "weir-wasm"}
    layout, manifest, _ = image([("plugin.wasm", wasm, 0o644, 0)], version, {}, filter_told)
    layout.write(folder / "weir-wasm.tar", manifest)
    layout, manifest = artifact(wasm, version, filter_told)
    layout.write(folder / "weir-wasm-oci.tar", manifest)

    entries = [
        ("weir", None, 0o755, 0),
        ("weir/weir", binary, 0o755, 0),
        ("weir/weir.wasm", wasm, 0o644, 0),
        # Volumes begin as copies of these, so whoever runs as this user may write them.
        ("config", None, 0o755, USER),
        ("records", None, 0o755, USER),
    ]
    config = {"User": f"{USER}:{USER}", "Entrypoint": ["/weir/weir"], "Env": ["PATH=/weir"], "WorkingDir": "/"}
    layout, manifest, (config_path, layer_path) = image(
        entries, version, config, {**told, "org.opencontainers.image.title": "weir"}
    )
    loaded = [{"Config": config_path, "RepoTags": [f"weir:{version}"], "Layers": [layer_path]}]
    layout.write(folder / "weir.tar", manifest, more=[("manifest.json", encoded(loaded))])


if __name__ == "__main__":
    main(*sys.argv[1:])
