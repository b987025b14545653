#include "tests/style/source.hpp"

#include <gtest/gtest.h>

namespace style {
namespace {

TEST(Source, tells_code_from_comment) {
  const auto lines = lines_of(
      "int a;  // a\n"
      "// b\n"
      "\n"
      "/* c\n"
      "   d */ int e;\n"
      "/* f */\n");
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0].code, "int a;  ");
  EXPECT_EQ(lines[0].comment, " a");
  EXPECT_FALSE(lines[1].is_code());
  EXPECT_FALSE(lines[2].is_code());
  EXPECT_FALSE(lines[3].is_code());
  EXPECT_TRUE(lines[4].is_code());
  EXPECT_FALSE(lines[5].is_code());
  EXPECT_EQ(count_code(lines), 2);
}

TEST(Source, takes_no_comment_out_of_a_literal) {
  const auto lines = lines_of(
      "auto a = \"// no \\\" comment\";  // one\n"
      "auto b = R\"x(/* \")\" none)x\"; int c;\n"
      "auto d = '\"'; auto e = 10'000; auto f = '\\'';  // two\n");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].comment, " one");
  EXPECT_EQ(lines[0].masked, "auto a = \"\";  ");
  EXPECT_EQ(lines[1].masked, "auto b = R\"\"; int c;");
  EXPECT_EQ(lines[2].comment, " two");
  EXPECT_EQ(lines[2].masked, "auto d = ''; auto e = 10'000; auto f = '';  ");
  EXPECT_EQ(literals_of(lines[0]),
            (std::vector<std::string>{"// no \\\" comment"}));
}

TEST(Source, keeps_the_last_line_without_its_newline) {
  EXPECT_EQ(lines_of("int a;\nint b;").size(), 2u);
  EXPECT_EQ(lines_of("int a;\nint b;\n").size(), 2u);
  EXPECT_EQ(lines_of("").size(), 0u);
}

TEST(Source, finds_functions_and_measures_them) {
  const auto found =
      functions_of(lines_of("namespace a {\n"
                            "int first(int x) {\n"
                            "  // a comment\n"
                            "\n"
                            "  if (x) { return 1; }\n"
                            "  return [] { return 2; }();\n"
                            "}\n"
                            "template <class T = int>\n"
                            "auto last(T t)\n"
                            "    -> int {\n"
                            "  return t;\n"
                            "}\n"
                            "}  // namespace a\n"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "first");
  EXPECT_EQ(found[0].line, 2);
  EXPECT_EQ(found[0].code_lines, 4);
  EXPECT_EQ(found[1].name, "last");
  EXPECT_EQ(found[1].line, 10);
  EXPECT_EQ(found[1].code_lines, 3);
}

TEST(Source, finds_members_behind_their_initializers) {
  const auto found = functions_of(
      lines_of("class B : public C {\n"
               " public:\n"
               "  B(int x) : x_{x}, y_(x) {\n"
               "    x_ = 2;\n"
               "  }\n"
               "  bool operator==(const B& b) const { return x_ == b.x_; }\n"
               "  int x_{1};\n"
               "};\n"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "B");
  EXPECT_EQ(found[0].code_lines, 3);
  EXPECT_EQ(found[1].line, 6);
  EXPECT_EQ(found[1].code_lines, 1);
}

TEST(Source, takes_no_initializer_for_a_function) {
  const auto found =
      functions_of(lines_of("const int table[] = {f(1), f(2)};\n"
                            "const auto lambda = [](int) { return 1; };\n"
                            "enum class E { a, b };\n"
                            "int x{3};\n"));
  EXPECT_TRUE(found.empty());
}

TEST(Source, names_a_test_by_its_arguments) {
  const auto found = functions_of(lines_of("TEST(A, b) {\n  EXPECT(c);\n}\n"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "TEST(A, b)");
}

TEST(Source, finds_includes_but_no_comments_about_them) {
  const auto found =
      includes_of(lines_of("#include <sys/epoll.h>\n"
                           "// #include <aio.h>\n"
                           "#include \"net/fd.hpp\"  // for Fd\n"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, "sys/epoll.h");
  EXPECT_FALSE(found[0].quoted);
  EXPECT_EQ(found[1].path, "net/fd.hpp");
  EXPECT_TRUE(found[1].quoted);
  EXPECT_EQ(found[1].line, 3);
}

TEST(Source, finds_words_and_whose_members_they_are) {
  const auto found = words_of(lines_of("a.b(c::d, e->f, \"g\");  // h\n"));
  std::string all;
  for (const Word& word : found)
    all += word.text + (word.is_member ? "! " : " ");
  EXPECT_EQ(all, "a b! c d! e f! ");
}

}  // namespace
}  // namespace style
