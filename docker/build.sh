#!/usr/bin/env bash
# Builds the node as its image carries it, and prints where it is: linked statically, with jemalloc, and by a profile of
# itself under load (train.sh), so that the compiler knows what is hot: a hit of 1 KiB costs 5 % less for it, a miss 11 %.
# Wants llvm-profdata of the compiler's LLVM, wrk, h2load and curl, and takes ten minutes on two cores. The argument is the
# target, by default the machine's own; what is built for it has to run here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

about=$(rustc --version --verbose)
target=${1:-$(sed -n 's/^host: //p' <<<"$about")}
llvm=$(sed -n 's/^LLVM version: \([0-9]*\).*/\1/p' <<<"$about")
room=$PWD/target/image

# A profile can be read by the LLVM that made it; the toolchain has its own, others are beside those of the system.
profdata=
for tool in "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata "llvm-profdata-$llvm" llvm-profdata; do
    if command -v "$tool" >/dev/null && "$tool" merge --version | grep --quiet "LLVM version $llvm\."; then
        profdata=$tool
        break
    fi
done
missing=()
[[ $profdata ]] || missing+=("llvm-profdata of LLVM $llvm (rustup component add llvm-tools-preview, or the package llvm-$llvm)")
for tool in wrk h2load curl; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
    printf 'not found: %s\n' "${missing[@]}" >&2
    exit 2
fi

# Naming the target keeps RUSTFLAGS away from build scripts and macros, which cannot be linked statically.
build() {
    RUSTFLAGS="-C target-feature=+crt-static $2" cargo build --release --locked --features jemalloc --bin holdover \
        --target "$target" --target-dir "$room/$1" >&2
}

# Functions are found again by their names, which depend on cargo's settings for a release, those for the linker among
# them: what is built faster counts for nothing.
counts=$room/$target.counts profile=$room/$target.profile
build counting "-C profile-generate=$counts"
counting=$room/counting/$target/release/holdover
# What has not changed has nothing new to tell, and would be built anew for a new profile.
if [[ ! $profile -nt $counting || ! $profile -nt docker/train.sh ]]; then
    rm -rf "$counts"
    docker/train.sh "$counting" >&2
    "$profdata" merge --output "$profile" "$counts"
fi
build optimized "-C profile-use=$profile"
echo "$room/optimized/$target/release/holdover"
