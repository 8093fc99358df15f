#!/usr/bin/env bash
# For tests on machines without a GPU: a Vulkan driver that computes on the processor. Prints the path of its ICD file, for
# VK_DRIVER_FILES; says on stderr why there is none, and fails. Needs root, and Debian or what is made of it. Without a name, the
# first of these that can be had; `software-vulkan.sh swiftshader` is that one.
#   1. Mesa's lavapipe, from 23.2 on: Dawn refuses what Debian 12 has, so there it comes from its backports.
#   2. Chromium's SwiftShader, out of its package, without installing it.
set -euo pipefail
cd "$(dirname "$0")/.."

lavapipe() { find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -1 | grep .; }

install_lavapipe() {
  [ "$(id -u)" = 0 ] && command -v apt-get >&2 || return 1
  local release=()
  if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
    echo 'deb http://deb.debian.org/debian bookworm-backports main' > /etc/apt/sources.list.d/bookworm-backports.list
    release=(-t bookworm-backports)
  fi
  apt-get update -qq >&2 && apt-get install -qq -y --no-install-recommends "${release[@]}" mesa-vulkan-drivers libvulkan1 >&2
}

swiftshader() {
  command -v apt-get >&2 || return 1
  local to=$PWD/build/swiftshader
  if [ ! -s "$to/usr/lib/chromium/vk_swiftshader_icd.json" ]; then
    mkdir -p "$to"
    (cd "$to" && apt-get download -qq chromium-common >&2 && dpkg -x chromium-common_*.deb . && rm chromium-common_*.deb) || return 1
  fi
  echo "$to/usr/lib/chromium/vk_swiftshader_icd.json"
}

if [ "${1:-}" = swiftshader ]; then
  swiftshader || { echo 'SwiftShader could not be had' >&2; exit 1; }
  exit
fi
lavapipe || { install_lavapipe && lavapipe; } || swiftshader || { echo 'no software Vulkan driver could be had' >&2; exit 1; }
