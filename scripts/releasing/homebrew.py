"""The formula for Homebrew: macOS builds from the source archive, and Linux takes the static programs."""

from __future__ import annotations

from . import names

FORMULA = """\
# Written by `make release` for version {version}.
class ClerkSync < Formula
  desc "Copy who has access to what in a Clerk instance, and ask about it"
  homepage "{repository}"
  version "{version}"
  license "Apache-2.0"

  on_macos do
    url "{source_url}"
    sha256 "{source_sha256}"
    depends_on "rust" => :build
  end

  on_linux do
    on_intel do
      url "{x86_64_url}"
      sha256 "{x86_64_sha256}"
    end
    on_arm do
      url "{arm64_url}"
      sha256 "{arm64_sha256}"
    end
  end

  def install
    if OS.mac?
      system "cargo", "build", "--release", "--locked", "--bins", {packages}
      bin.install {programs}
      %w[clerk-sync clerk-access].each do |name|
        generate_completions_from_executable(bin/name, "completions")
        (man1/"#{{name}}.1").write Utils.safe_popen_read(bin/name, "man")
      end
    else
      bin.install Dir["bin/*"]
      share.install Dir["share/*"]
      prefix.install "third-party-licences.txt"
    end
  end

  test do
    assert_match version.to_s, shell_output("#{{bin}}/clerk-sync --version")
    assert_match "role_changed", shell_output("#{{bin}}/clerk-sandbox demo #{{testpath}}/demo")
  end
end
"""


def formula(version: str, repository: str, digests: dict[str, str]) -> str:
    """The formula, for archives with these SHA-256 that are published in this repository."""
    archives = {"source": names.source(version)} | {one: names.archive(version, one) for one in names.TRIPLES}
    places = {f"{one}_url": f"{repository}/releases/download/v{version}/{name}" for one, name in archives.items()}
    sums = {f"{one}_sha256": digests[name] for one, name in archives.items()}
    packages = ", ".join(f'"--package", "{name}"' for name in names.PROGRAMS)
    programs = ", ".join(f'"target/release/{name}"' for name in names.PROGRAMS)
    return FORMULA.format(
        version=version, repository=repository, packages=packages, programs=programs, **places, **sums
    )
