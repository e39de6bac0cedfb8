"""Reads the files of deploy/ and says what does not fit together.

Prints one line for each thing looked at: `ok - …` or `not ok - …: why`. Run by check-deploy.sh.
"""

import pathlib
import re
import sys
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
SETTINGS = tomllib.loads((ROOT / "crates/server/src/settings/default.toml").read_text())
# Not settings of ours: what a person gives to compose.
COMPOSE_VARIABLES = {"LINGPAI_PUBLIC_URL", "LINGPAI_PORT"}


def is_setting(section, key):
    return key in SETTINGS.get(section, {})


def unknown_settings(text):
    """Names of environment variables in `text` that are not settings."""
    names = set(re.findall(r"LINGPAI_[A-Z0-9_]+", text)) - COMPOSE_VARIABLES
    for name in sorted(names):
        section, _, key = name.removeprefix("LINGPAI_").lower().partition("__")
        if not is_setting(section, key):
            yield f"{name} is not a setting of crates/server/src/settings/default.toml"


# --- Dockerfile -------------------------------------------------------------------------------


def instructions():
    """The Dockerfile as (word, rest), lines joined and comments left out."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def stages():
    """Each stage's name with its base and its instructions, in order."""
    found = {}
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name.strip()] = (base.strip(), [])
            current = found[name.strip()][1]
        else:
            current.append((word, rest))
    return found


def whole(name, found):
    """The instructions of a stage with those of the stages it is built on."""
    base, own = found[name]
    return (whole(base, found) if base in found else []) + own


def reaches_the_build(source):
    """Whether .dockerignore lets `source` into the build's context."""
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    return any(source == path or source.startswith(path + "/") for path in allowed)


def dockerfile():
    found = stages()
    for name, (base, own) in found.items():
        if not name:
            yield f"FROM {base} has no name"
        if base not in found and (":" not in base or base.endswith(":latest")):
            yield f"FROM {base} has no version"
        for word, rest in own:
            if word == "ADD":
                yield f"stage {name}: COPY instead of ADD"
            if word == "COPY":
                yield from copied(name, rest, found)
    shipped = list(found)[-1]
    if shipped != "lingpai":
        yield f"the default stage is {shipped}, not lingpai"
    for name in ("lingpai", "emulator"):
        users = [rest for word, rest in whole(name, found) if word == "USER"]
        if not users or not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", users[-1]):
            yield f"stage {name}: USER must be numbers and not root, not {users[-1:]}"
    for word, rest in whole("lingpai", found):
        if "emulator" in rest:
            yield f"the service's image must not contain the emulator: {word} {rest}"
        if word in ("ENV", "ARG") and re.search(r"(SECRET|PASSWORD|MASTER_KEY)[A-Z_]*=", rest):
            yield f"a secret does not belong into an image: {word} {rest}"
    if not any(word == "RUN" and "ca-certificates" in rest for word, rest in whole("lingpai", found)):
        yield "TLS takes its roots from the system: ca-certificates is missing"
    yield from unknown_settings((DEPLOY / "Dockerfile").read_text())


def copied(stage, rest, found):
    words = rest.split()
    options = [word for word in words if word.startswith("--")]
    *sources, _target = [word for word in words if not word.startswith("--")]
    other = next((o.removeprefix("--from=") for o in options if o.startswith("--from=")), None)
    if other is not None:
        if other not in found:
            yield f"stage {stage}: COPY --from={other}, which is no stage"
        return
    for source in sources:
        if not (ROOT / source).exists():
            yield f"stage {stage}: COPY {source}, which is not there"
        elif not reaches_the_build(source):
            yield f"stage {stage}: COPY {source}, which .dockerignore keeps out"


# --- compose ----------------------------------------------------------------------------------


def compose(name):
    path = DEPLOY / "compose" / name
    document = yaml.safe_load(path.read_text())
    services = document["services"]
    for service, it in services.items():
        for fault in service_faults(it, document):
            yield f"{service}: {fault}"
    yield from unknown_settings(path.read_text())


def service_faults(it, document):
    if "image" not in it and "build" not in it:
        yield "neither image nor build"
    if "build" in it:
        yield from build_faults(it)
    elif ":" not in it["image"] or it["image"].endswith(":latest"):
        yield f"{it['image']} has no version"
    for key, kind in (("secrets", "secrets"), ("networks", "networks")):
        for name in it.get(key, []):
            if name not in document.get(kind, {}):
                yield f"{name} is not among the {kind}"
    for other in it.get("depends_on", {}):
        if other not in document["services"]:
            yield f"depends on {other}, which is no service"
    for mount in it.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            if not (DEPLOY / "compose" / source).exists():
                yield f"mounts {source}, which is not there"
        elif source not in document.get("volumes", {}):
            yield f"{source} is not among the volumes"
    if it.get("privileged") or it.get("network_mode") == "host":
        yield "runs with more rights than it needs"


def build_faults(it):
    """What holds for everything of ours: nothing to write to, no rights, a stage that is there."""
    build = it["build"]
    context = (DEPLOY / "compose" / build["context"]).resolve()
    if context != ROOT or not (context / build["dockerfile"]).exists():
        yield f"builds {build['dockerfile']} in {build['context']}, which is not there"
    if build["target"] not in stages():
        yield f"builds the stage {build['target']}, which is not there"
    if it.get("read_only") is not True:
        yield "read_only is missing"
    if it.get("cap_drop") != ["ALL"]:
        yield "cap_drop: [ALL] is missing"
    if "no-new-privileges:true" not in it.get("security_opt", []):
        yield "no-new-privileges is missing"
    for key, value in (it.get("environment") or {}).items():
        if re.search(r"PASSWORD|SECRET$|MASTER_KEY$", key) and value:
            yield f"{key} belongs into a file (…_FILE)"


def two_instances():
    services = yaml.safe_load((DEPLOY / "compose/postgres.yml").read_text())["services"]
    ours = sorted(name for name, it in services.items() if "build" in it)
    nginx = (DEPLOY / "compose/nginx.conf").read_text()
    if len(ours) < 2:
        yield f"only {ours} of ours"
    servers = sorted(re.findall(r"^\s*server ([a-z0-9-]+):8080", nginx, re.M))
    if servers != ours:
        yield f"nginx.conf sends to {servers}, compose starts {ours}"
    upstream = re.search(r"upstream lingpai \{(.*?)\n    \}", nginx, re.S).group(1)
    kept = int(re.search(r"keepalive_timeout (\d+)s;", upstream).group(1))
    for name in ours:
        if "emulator" in str(services[name]):
            yield f"{name}: the emulator has no place here"
        idle = int(services[name]["environment"]["LINGPAI_SERVER__IDLE_TIMEOUT_SECS"])
        if idle <= kept:
            yield f"{name} closes idle connections after {idle} s, nginx after {kept} s: nginx must be first"
    if "proxy_http_version 1.1;" not in nginx or 'proxy_set_header Connection "";' not in nginx:
        yield "nginx.conf does not keep connections open"
    if re.search(r"log_format[^;]*\$(request|request_uri|args|uri|query_string)\b", nginx):
        yield "nginx.conf logs URIs: links and tokens stand in them"


# --- systemd ----------------------------------------------------------------------------------


def systemd():
    settings = tomllib.loads((DEPLOY / "systemd/lingpai.toml").read_text())
    for section, keys in settings.items():
        for key in keys:
            if not is_setting(section, key):
                yield f"lingpai.toml: {section}.{key} is not a setting"
    unit = (DEPLOY / "systemd/lingpai.service").read_text()
    yield from unknown_settings(unit)
    grace = SETTINGS["server"]["shutdown_grace_secs"]
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M).group(1))
    longest = grace + 17  # jobs under way may finish a call and its commit
    if stop <= longest:
        yield f"TimeoutStopSec={stop} cuts off what may take {longest} s"


def main():
    looked_at = {
        "deploy/Dockerfile": dockerfile,
        "deploy/compose/laptop.yml": lambda: compose("laptop.yml"),
        "deploy/compose/postgres.yml": lambda: compose("postgres.yml"),
        "two instances behind nginx": two_instances,
        "deploy/systemd": systemd,
    }
    failed = False
    for name, look in looked_at.items():
        try:
            faults = list(look())
        except Exception as error:  # a file that cannot be read is one more fault
            faults = [f"{type(error).__name__}: {error}"]
        failed = failed or bool(faults)
        print(f"not ok - {name}: {'; '.join(faults)}" if faults else f"ok - {name} fits together")
    sys.exit(failed)


main()
