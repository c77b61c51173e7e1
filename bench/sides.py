"""One side of a move as each tool wants to hear of it: a folder, or a prefix in a bucket."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import boto3
from botocore.config import Config

from bench import agreement


class Side(Protocol):
    """Where something is, or shall be."""

    def ours(self) -> str: ...
    def rclone(self, *, old: bool = False) -> str: ...
    def sizes(self) -> dict[str, int]: ...
    def digest(self, path: str) -> str: ...
    def clear(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on the disk."""

    path: Path

    def ours(self) -> str:
        return f"file://{quote(str(self.path))}"

    def rclone(self, *, old: bool = False) -> str:  # noqa: ARG002 - a folder is a folder
        return str(self.path)

    def sizes(self) -> dict[str, int]:
        return agreement.folder(self.path)

    def digest(self, path: str) -> str:
        return agreement.digest(self.path / path)

    def clear(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Store:
    """A running S3 server, and keys to it."""

    name: str  # shown in the results
    endpoint: str
    access: str
    secret: str
    bucket: str = "bench"

    def env(self) -> dict[str, str]:
        """What every tool finds in its environment. OLD and NEW are two stores to rclone, as
        they are to an operator who moves: else it would not move but ask the server to copy."""
        env = {
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "S3_ENDPOINT_URL": self.endpoint,
        }
        for remote in ("OLD", "NEW"):
            env |= {
                f"RCLONE_CONFIG_{remote}_TYPE": "s3",
                f"RCLONE_CONFIG_{remote}_PROVIDER": "Ceph",
                f"RCLONE_CONFIG_{remote}_ENDPOINT": self.endpoint,
                f"RCLONE_CONFIG_{remote}_ACCESS_KEY_ID": self.access,
                f"RCLONE_CONFIG_{remote}_SECRET_ACCESS_KEY": self.secret,
            }
        return env

    def client(self) -> Any:
        """A client that shares no code with ours."""
        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=config,
        )


@dataclass(frozen=True, slots=True)
class Prefix:
    """All objects below a prefix; ends without a slash."""

    store: Store
    prefix: str
    client: Any = field(repr=False)

    def ours(self) -> str:
        return f"{self.s5cmd()}?endpoint={self.store.endpoint}"

    def s5cmd(self) -> str:
        return f"s3://{self.store.bucket}/{self.prefix}"

    def rclone(self, *, old: bool = False) -> str:
        return f"{'OLD' if old else 'NEW'}:{self.store.bucket}/{self.prefix}"

    def etags(self) -> dict[str, tuple[int, str]]:
        """Every object: its length and ETag."""
        return agreement.bucket(self.client, self.store.bucket, f"{self.prefix}/")

    def sizes(self) -> dict[str, int]:
        """Of what are files; markers of directories are ours alone, and more work, not less."""
        found = self.etags().items()
        return {path: size for path, (size, _) in found if path and not path.endswith("/")}

    def digest(self, path: str) -> str:
        body = self.client.get_object(Bucket=self.store.bucket, Key=f"{self.prefix}/{path}")["Body"]
        running = hashlib.md5(usedforsecurity=False)
        for chunk in body.iter_chunks(1 << 20):
            running.update(chunk)
        return running.hexdigest()

    def clear(self) -> None:
        keys = [f"{self.prefix}/{path}" for path in self.etags()]
        for first in range(0, len(keys), 1000):
            some = [{"Key": key} for key in keys[first : first + 1000]]
            self.client.delete_objects(Bucket=self.store.bucket, Delete={"Objects": some})
