"""Build the compiled core: each ext/<name>.pyx becomes edgeagent._core.<name>."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

setup(
    # The files of the service are at the top, where people look for them, and come with the package.
    packages=[*find_packages(include=["edgeagent*", "firmware_iface*"]), "edgeagent.systemd"],
    package_dir={"edgeagent.systemd": "systemd"},
    ext_modules=[
        Extension(
            f"edgeagent._core.{source.stem}", [source.as_posix()], extra_compile_args=["-O3"],
            depends=[part.as_posix() for part in Path("ext").glob(f"{source.stem}_*.pxi")],
        )
        for source in sorted(Path("ext").glob("*.pyx"))
    ],
)
