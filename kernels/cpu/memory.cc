#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace lodestone {

Memory::Memory(size_t bytes) {
  // Pages from the system are zero and cost nothing until they are touched.
  void* at = mmap(nullptr, bytes > 0 ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return;
#if defined(__linux__)
  if (bytes >= size_t(4) << 20) madvise(at, bytes, MADV_HUGEPAGE);  // fewer page-table walks; advice only
#endif
  data_ = static_cast<uint8_t*>(at);
  bytes_ = bytes > 0 ? bytes : 1;
}

Memory Memory::of_file(int file, size_t offset, size_t bytes) {
  Memory out;
  struct stat status;
  // Beyond the file's end a mapping has pages that can't be read.
  if (bytes == 0 || fstat(file, &status) != 0 || size_t(status.st_size) < bytes || size_t(status.st_size) - bytes < offset) return out;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, off_t(offset));
  if (at == MAP_FAILED) return out;
  out.data_ = static_cast<uint8_t*>(at);
  out.bytes_ = bytes;
  return out;
}

Memory::~Memory() {
  if (data_) munmap(data_, bytes_);
}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

uint8_t* GrowingMemory::reserve(size_t bytes) {
  if (bytes > memory_.bytes()) {
    memory_ = Memory();
    memory_ = Memory(bytes + bytes / 4);
    if (!memory_.data()) throw std::bad_alloc();
  }
  return memory_.data();
}

std::shared_ptr<MappedFile> MappedFile::open(const std::string& path, std::string* error) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  void* at = MAP_FAILED;
  if (file >= 0 && fstat(file, &status) == 0) {
    if (status.st_size == 0) errno = ENODATA;
    else at = mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
  }
  if (at == MAP_FAILED) *error = strerror(errno);
  if (file >= 0) close(file);
  if (at == MAP_FAILED) return nullptr;
  std::shared_ptr<MappedFile> out(new MappedFile());
  out->data_ = static_cast<const uint8_t*>(at);
  out->bytes_ = size_t(status.st_size);
  out->identity_ = identity_of(status);
  return out;
}

MappedFile::Identity MappedFile::identity_of(const struct stat& status) {
  return {uint64_t(status.st_dev), uint64_t(status.st_ino), int64_t(status.st_size), int64_t(status.st_mtime)};
}

bool MappedFile::is_current(const std::string& path) const {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && identity_of(status) == identity_;
}

MappedFile::~MappedFile() { munmap(const_cast<uint8_t*>(data_), bytes_); }

}  // namespace lodestone
