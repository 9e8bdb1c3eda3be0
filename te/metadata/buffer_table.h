#ifndef TE_METADATA_BUFFER_TABLE_H_
#define TE_METADATA_BUFFER_TABLE_H_

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/base/attributes.h"
#include "te/base/memory_location.h"
#include "te/metadata/transport_keys.h"

namespace te {

// One registered range of a segment.
struct BufferDescriptor {
  uint64_t address = 0;  // in the owner's address space
  uint64_t length = 0;   // bytes; address + length does not overflow
  MemoryLocation location;
  bool remote_read = false;
  bool remote_write = false;
  // Tells this registration from an earlier one of the same range.
  uint64_t generation = 0;
  // What peers' transports need to reach it.
  TransportKeys keys;

  friend bool operator==(const BufferDescriptor&,
                         const BufferDescriptor&) = default;
};

// The buffers of a segment, in pages. A buffer stays in its page, and a page
// that has been put into a table does not change: copies of a table share those
// that are the same in both, so that a change of a large table, its publication
// and its reading cost one page. A value type; thread-compatible.
class BufferTable {
 public:
  // About 8 KiB in a message, if there are no keys: small beside a round trip,
  // and a segment with as many buffers as there may be has no more than
  // kMaxPages.
  static constexpr size_t kPageBuffers = 256;
  static constexpr size_t kMaxPages = 4096;
  static constexpr size_t kMaxBuffers = kPageBuffers * kMaxPages;

  using Page = std::vector<BufferDescriptor>;
  // Null: an empty page.
  using SharedPage = std::shared_ptr<const Page>;

  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = BufferDescriptor;
    using difference_type = ptrdiff_t;
    using pointer = const BufferDescriptor*;
    using reference = const BufferDescriptor&;

    const_iterator() = default;
    reference operator*() const { return (*table_->pages_[page_])[index_]; }
    pointer operator->() const { return &**this; }
    const_iterator& operator++();
    const_iterator operator++(int);
    friend bool operator==(const const_iterator&,
                           const const_iterator&) = default;

   private:
    friend class BufferTable;
    const_iterator(const BufferTable& table, size_t page)
        : table_(&table), page_(page) {
      SkipEmpty();
    }
    void SkipEmpty();

    const BufferTable* table_ = nullptr;
    size_t page_ = 0;
    size_t index_ = 0;
  };

  BufferTable() = default;
  // One page after the other.
  BufferTable(std::initializer_list<BufferDescriptor> buffers);

  // Of buffers. Looks at every page.
  size_t size() const;
  bool empty() const { return size() == 0; }
  const_iterator begin() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return const_iterator(*this, 0);
  }
  const_iterator end() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return const_iterator(*this, pages_.size());
  }

  // Pages from this one on are empty.
  size_t page_count() const { return pages_.size(); }
  // Those that are not.
  size_t filled_pages() const;
  // Of any number.
  SharedPage page(size_t number) const {
    return number < pages_.size() ? pages_[number] : nullptr;
  }
  // `number` is below kMaxPages, and the page has kPageBuffers at most.
  void SetPage(size_t number, SharedPage page);

  // The same buffers in the same pages.
  friend bool operator==(const BufferTable& a, const BufferTable& b);

 private:
  // None is empty, but some are null; the last one is not.
  std::vector<SharedPage> pages_;
};

}  // namespace te

#endif  // TE_METADATA_BUFFER_TABLE_H_
