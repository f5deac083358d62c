import type { Nodes, PhrasingContent, Root, RootContent } from "mdast";
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmAutolinkLiteralFromMarkdown } from "mdast-util-gfm-autolink-literal";
import { gfmStrikethroughFromMarkdown } from "mdast-util-gfm-strikethrough";
import { gfmAutolinkLiteral } from "micromark-extension-gfm-autolink-literal";
import { gfmStrikethrough } from "micromark-extension-gfm-strikethrough";

export type { Nodes, PhrasingContent, Root, RootContent };

/** What a chat does without: a hash at the beginning of a line is a hash, HTML is text,
    nothing is fetched because somebody wrote its address, and four spaces are four spaces. */
const LEFT_OUT = [
  "headingAtx",
  "setextUnderline",
  "thematicBreak",
  "definition",
  "labelStartImage",
  "htmlFlow",
  "htmlText",
  "codeIndented",
  "characterReference",
  "hardBreakTrailing",
];

/** A text without any of these says what it says. */
const MARKS = /[*_~`>[\]\\<@]|^\s*(?:[-+]|\d{1,9}[.)])\s|:\/\/|www\.|\/\//im;

/** Texts longer than this are shown as they are: parsing is not linear in every text. */
const LENGTH_MAX = 20_000;

const parsed = new Map<string, Root | undefined>();
/** How many parsed messages are kept: some screens of a conversation. */
const PARSED_MAX = 400;

/** The tree of a text, or nothing when it is plain. */
export function parse(text: string): Root | undefined {
  if (text.length > LENGTH_MAX || !MARKS.test(text)) return undefined;
  if (parsed.has(text)) return parsed.get(text);
  const root = fromMarkdown(text, {
    extensions: [gfmAutolinkLiteral(), gfmStrikethrough({ singleTilde: false }), { disable: { null: LEFT_OUT } }],
    mdastExtensions: [gfmAutolinkLiteralFromMarkdown(), gfmStrikethroughFromMarkdown()],
  });
  if (parsed.size >= PARSED_MAX) parsed.delete(parsed.keys().next().value ?? "");
  parsed.set(text, root);
  return root;
}

/** The words of a text without its marks, on one line, for previews and announcements. */
export function plain(text: string, max = 300): string {
  const root = parse(text);
  const words = root ? wordsOf(root) : text;
  const line = words.replace(/\s+/g, " ").trim();
  return line.length > max ? `${cut(line, max)}…` : line;
}

/** The first `max` code units of a text, without half of a character. */
function cut(text: string, max: number): string {
  const code = text.charCodeAt(max - 1);
  return text.slice(0, code >= 0xd800 && code < 0xdc00 ? max - 1 : max);
}

function wordsOf(node: Nodes): string {
  if ("value" in node) return node.value;
  if (node.type === "break") return " ";
  if (!("children" in node)) return "";
  const between = node.type === "root" || node.type === "list" || node.type === "blockquote" ? " " : "";
  return node.children.map(wordsOf).join(between);
}
