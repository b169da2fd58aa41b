// Queries in, as a JSON list on stdin; out comes for each the list of its nodes, outermost first: [name, text, depth].
// A node named "⚠" is an error.
import { parser } from "@grafana/lezer-traceql";
import { readFileSync } from "node:fs";

function nodes(query) {
  const found = [];
  let depth = 0;
  parser.parse(query).iterate({
    enter(node) {
      found.push([node.name, query.slice(node.from, node.to), depth++]);
    },
    leave() {
      depth--;
    },
  });
  return found;
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(nodes)));
