#include "te/metadata/buffer_table.h"

#include <stddef.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <utility>

#include "glog/logging.h"

namespace te {

BufferTable::const_iterator& BufferTable::const_iterator::operator++() {
  if (++index_ == table_->pages_[page_]->size()) {
    ++page_;
    index_ = 0;
    SkipEmpty();
  }
  return *this;
}

BufferTable::const_iterator BufferTable::const_iterator::operator++(int) {
  const const_iterator before = *this;
  ++*this;
  return before;
}

void BufferTable::const_iterator::SkipEmpty() {
  while (page_ < table_->pages_.size() && table_->pages_[page_] == nullptr) {
    ++page_;
  }
}

BufferTable::BufferTable(std::initializer_list<BufferDescriptor> buffers) {
  const BufferDescriptor* next = buffers.begin();
  for (size_t number = 0; next != buffers.end(); ++number) {
    const size_t count = std::min(
        kPageBuffers, static_cast<size_t>(std::distance(next, buffers.end())));
    SetPage(number, std::make_shared<const Page>(next, next + count));
    next += count;
  }
}

size_t BufferTable::size() const {
  size_t size = 0;
  for (const SharedPage& page : pages_) {
    if (page != nullptr) size += page->size();
  }
  return size;
}

size_t BufferTable::filled_pages() const {
  return pages_.size() -
         static_cast<size_t>(std::count(pages_.begin(), pages_.end(), nullptr));
}

void BufferTable::SetPage(size_t number, SharedPage page) {
  CHECK_LT(number, kMaxPages);
  if (page != nullptr && page->empty()) page = nullptr;
  if (page != nullptr) {
    CHECK_LE(page->size(), kPageBuffers);
    if (number >= pages_.size()) pages_.resize(number + 1);
  }
  if (number < pages_.size()) pages_[number] = std::move(page);
  while (!pages_.empty() && pages_.back() == nullptr) pages_.pop_back();
}

bool operator==(const BufferTable& a, const BufferTable& b) {
  return std::equal(
      a.pages_.begin(), a.pages_.end(), b.pages_.begin(), b.pages_.end(),
      [](const BufferTable::SharedPage& x, const BufferTable::SharedPage& y) {
        if (x == y) return true;
        return x != nullptr && y != nullptr && *x == *y;
      });
}

}  // namespace te
