"""docker-py against the engine: `pull IMAGE`, `build FOLDER`, or without an engine `look-up IMAGE`.

A look-up prints the name and the password, each on a line of its own, or nothing.
"""

import sys

import docker
import docker.auth

verb, what = sys.argv[1:]
if verb == "look-up":
    registry, _ = docker.auth.resolve_repository_name(what.rpartition(":")[0])
    found = docker.auth.load_config().resolve_authconfig(registry)
    if found:
        print(found["Username"], found["Password"], sep="\n")
elif verb == "pull":
    name, _, tag = what.rpartition(":")
    print(docker.from_env().images.pull(name, tag=tag).attrs["RepoDigests"])
else:
    print(docker.from_env().images.build(path=what, pull=True, tag="acme/built-by-docker-py")[0].id)
