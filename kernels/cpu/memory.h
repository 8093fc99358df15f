// Memory that the device owns, and files that it maps.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <sys/stat.h>

#include <memory>
#include <string>

namespace lodestone {

// Zero-filled or a file's content, 64-byte aligned. `data` is null where it can't be had.
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes);
  // A part of an open file, for reading and writing: what is written stays in memory, the file is not changed. Null where it
  // can't be mapped, such as at an offset inside a page of the system's, or beyond the file's end.
  static Memory of_file(int file, size_t offset, size_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept { *this = static_cast<Memory&&>(other); }
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

// Scratch that only grows. Throws std::bad_alloc.
class GrowingMemory {
 public:
  uint8_t* reserve(size_t bytes);
  uint8_t* data() const { return memory_.data(); }

 private:
  Memory memory_;
};

// A whole file, read-only.
class MappedFile {
 public:
  // Null, and why, where it can't be mapped.
  static std::shared_ptr<MappedFile> open(const std::string& path, std::string* error);
  ~MappedFile();
  const uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // Whether the path still leads to this file, unchanged.
  bool is_current(const std::string& path) const;

 private:
  MappedFile() = default;
  struct Identity {
    uint64_t device, number;
    int64_t size, seconds;
    bool operator==(const Identity&) const = default;
  };
  static Identity identity_of(const struct stat& status);
  Identity identity_{};
  const uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace lodestone
