// Writes a manual page in mdoc(7): text is escaped, filled, and has a line for each sentence.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace velafs::api {

// One thread.
class MdocWriter {
 public:
  // A line as it is: a macro with its arguments.
  void Line(std::string_view line);
  // Paragraphs and lists, as velafs/manual.h says.
  void Text(std::string_view text);
  // Text without paragraphs, as in an item of a list.
  void Sentences(std::string_view text);
  // Lines that a user types, each as it is.
  void Example(std::string_view lines);

  // The pages that the text refers to: section and name.
  const std::set<std::pair<char, std::string>>& references() const { return references_; }
  const std::string& page() const { return page_; }

 private:
  void Word(const std::string& word);
  bool Reference(const std::string& word);
  void EndLine();

  std::string page_;
  std::string line_;
  std::set<std::pair<char, std::string>> references_;
};

}  // namespace velafs::api
