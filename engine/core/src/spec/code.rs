//! Every kind of mistake that a graph file can hold, under a code that never changes.
//!
//! A code that is no longer used stays unused: people search for codes.

macro_rules! codes {
    ($($name:ident = $text:literal, $title:literal: $explanation:literal;)*) => {
        /// What kind of mistake a diagnostic is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The stable text of the code, such as `SW0003`.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }

            /// The kind of mistake in one line.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }

            /// What is wrong, why it is refused, and what to do: one paragraph.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation),* }
            }
        }
    };
}

codes! {
// The text: is it YAML, and of the kind that is safe to read?
NotUtf8 = "SW0001", "The file is not UTF-8 text.":
    "A graph file is UTF-8 text. A byte at the place shown cannot be part of such a text: the file \
     was saved in another encoding (Latin-1, UTF-16), or is no text at all. Save it as UTF-8.";
TooLarge = "SW0002", "The file is too large.":
    "A graph file may hold 64 MiB of text and eight million values, so that a mistake or an attack \
     cannot exhaust the memory of a router. Keep large data (routes, rules, sets) in files of their \
     own.";
Syntax = "SW0003", "The text is not YAML.":
    "The text cannot be read as YAML 1.2 from the place shown on. Reading stops there, so further \
     mistakes may show up when this one is mended. The usual reasons: a tab in the indentation, a \
     line indented differently from its neighbours, a bracket or quote that is never closed, or a \
     value with `: `, ` #` or a special first character (`@`, `*`, `&`, `%`, `[`, `{`) that needs \
     quotes.";
Empty = "SW0004", "The file is empty.":
    "The file holds nothing, or only comments. The smallest graph has `version: 1` and one node \
     under `nodes`.";
SeveralDocuments = "SW0005", "The file holds more than one document.":
    "A line `---` in the middle of the file starts a second YAML document. A graph is one document: \
     remove the line, or put the second part into a file of its own.";
DuplicateKey = "SW0006", "A key is given twice.":
    "The same key stands twice in one mapping. Other programs silently take the last one, which for \
     nodes or routes means that a part of the file has no effect. Rename or remove one of the two \
     places shown.";
KeyNotString = "SW0007", "A key is not a string.":
    "All keys of a graph file are strings. A key such as `1`, `true`, `null` or `[a, b]` is another \
     type in YAML; put it in quotes if it is meant as a name.";
MergeKey = "SW0008", "Merge keys are not supported.":
    "`<<` merges one mapping into another in YAML 1.1; YAML 1.2 has dropped it, and with it nobody \
     can see which value holds. Write the keys out, or use an alias for a whole value.";
Tag = "SW0009", "Tags are not supported.":
    "A tag (`!name` or `!!str`) gives a value another type. A graph file needs none: each setting \
     has one type already. Put a value in quotes to make it a string. A text that starts with `!` \
     needs quotes, too.";
AliasBudget = "SW0010", "Aliases copy too much.":
    "Each alias (`*name`) is a copy of the value at its anchor (`&name`). Aliases of aliases can \
     grow a few lines to gigabytes, so all copies of a file together are limited to 131,072 values \
     and 8 MiB of text.";
UnknownAnchor = "SW0011", "An alias names an anchor that does not exist.":
    "An alias (`*name`) refers to an anchor (`&name`) that stands earlier in the same file. A plain \
     text that starts with `*`, such as a wildcard, needs quotes.";
AliasLoop = "SW0012", "An alias contains itself.":
    "The alias stands inside of the very value that its anchor names, so the value would be \
     endless.";
TooDeep = "SW0013", "Values are nested too deep.":
    "Lists and mappings may be nested 64 deep, copies by aliases included. No setting needs that \
     depth; a bracket is probably missing.";
Number = "SW0014", "A number cannot be represented.":
    "Integers must fit in 64 bits, and numbers with a fraction must be finite: `.inf` and `.nan` \
     are refused. Put the value in quotes if it is meant as a text.";
AnchorOnKey = "SW0015", "An anchor stands before a key.":
    "`&name key: value` names the key alone, which is hardly ever meant. An anchor stands behind the \
     colon, before the value that it names: `key: &name value`.";

// The words: does the text say what a graph file says?
Version = "SW0101", "The version is missing or not supported.":
    "A graph file says `version: 1`, so that a later version of the language can never be mistaken \
     for this one.";
UnknownSection = "SW0102", "A section is not known.":
    "The top level of a graph file has the sections `version`, `engine`, `interfaces`, `tables`, \
     `nodes` and `tests`. A key that is ignored is a setting without effect, so an unknown one is an error.";
NoNodes = "SW0103", "The graph has no nodes.":
    "The section `nodes` is the graph itself. It must be there and hold at least one node.";
UnknownKey = "SW0104", "A key is not known.":
    "The key is none of those that can stand here. A key that is ignored is a setting without \
     effect, so an unknown one is an error. The message lists the known ones.";
MissingKey = "SW0105", "A required key is missing.":
    "The mapping lacks a key that has no default. Add it.";
WrongType = "SW0106", "A value has the wrong type.":
    "The setting expects another type: a string where a number stands, a list where a single value \
     stands. Mind the types of YAML 1.2: `true` and `false` are the only booleans (`yes`, `no`, \
     `on`, `off` are strings), and anything in quotes is a string.";
BadValue = "SW0107", "A value is not allowed here.":
    "The type is right, but the value is out of its range, malformed, or none of the words that the \
     setting knows. The message says what is allowed.";
BadName = "SW0108", "A name breaks the rule for names.":
    "Names of interfaces, tables and nodes become metric labels and words of commands. They have 1 \
     to 63 characters: lower-case letters a to z, digits, `-` and `_`, with a letter or digit \
     first. A slash is reserved for the nodes of templates, which are named `instance/node`.";
Conflict = "SW0109", "Two settings contradict each other.":
    "Each value is right by itself, but the two places shown do not fit together.";
Setting = "SW0110", "A setting was refused.":
    "The kind of node, table or driver looked at its settings and refused one for the reason shown.";
// The graph: does it fit together?
UnknownKind = "SW0201", "A kind is not known.":
    "The word after `kind:` names no kind of node or table of this program. `swath nodes` lists them. \
     A kind of a plugin is known only when the plugin is loaded.";
UnknownNode = "SW0202", "A node is not known.":
    "An edge leads to a node that the graph does not have. Nodes are named under `nodes:`; the name \
     must be spelled the same in both places.";
UnknownEdge = "SW0203", "An edge is not known.":
    "The kind of the node has no edge of this name. `swath nodes KIND` lists the edges of a kind with \
     what they carry; where a graph names edges for itself, the kind cannot use this name. The packets that a node keeps, consumes or transmits do not leave by an edge, \
     so these cannot be wired.";
RequiredEdge = "SW0204", "A required edge is not wired.":
    "Most edges may stay unwired: their packets are dropped and counted by the name of the edge. This \
     one carries what the node is for, so a graph without it is taken for a mistake. Wire it; if its \
     packets shall really be dropped, wire it to a node of kind `drop`.";
Cycle = "SW0205", "The graph has a cycle.":
    "A packet could come to the same node again. Each pass visits every node once, in an order in \
     which edges lead forwards, so this cannot be. What must be looked at again (an ICMP error, a \
     decapsulated packet) goes to another node of the same kind that uses the same tables.";
Layer = "SW0206", "An edge carries other packets than its target takes.":
    "Every edge carries packets that start with a certain header, and every kind takes packets that \
     start with a certain header. Here they differ, so the target would read one header as another.";
UnwrittenSlot = "SW0207", "A slot is read that is not written.":
    "The node reads a value that an earlier node must have left with the packet, but there is a path \
     on which no node does. It would read what an earlier packet left in the same memory.";
SlotSpace = "SW0208", "A slot has no place.":
    "The values that nodes leave with a packet share 48 bytes, and a value has one type. This graph \
     needs more, or two kinds (of different plugins, say) mean different things by one name.";
Unreachable = "SW0209", "No packet can reach a node.":
    "No edge leads to this node from a node that receives packets. The graph runs all the same; the \
     node is never called.";
UnknownDriver = "SW0210", "A driver is not known.":
    "The word after `driver:` names no interface driver of this program.";
Refused = "SW0211", "A kind refuses its settings.":
    "The settings have the right form, but the node, table or driver that they are for cannot work \
     with them. Its own words say why.";
Unreceived = "SW0213", "No node receives the packets of an interface.":
    "The interface has packets for the graph, and the graph has no node of kind `rx` for it: they are \
     never taken. The graph runs all the same.";
SharedInterface = "SW0212", "Two nodes receive from one interface.":
    "The packets that an interface receives go to one node. Let one node receive, and lead its edge \
     to where both have theirs.";
UnknownInterface = "SW0214", "An interface is not known.":
    "A setting, an argument of a template or a test names an interface that the graph does not have. \
     Interfaces are named under `interfaces:`; the name must be spelled the same in both places.";
UnknownTable = "SW0215", "A table is not known.":
    "A setting or an argument of a template names a table that the graph does not have. Tables are named \
     under `tables:`; the name must be spelled the same in both places.";
OtherKind = "SW0216", "A table is of another kind.":
    "The setting wants a table of a certain kind, and the table that it names is of another one. Both \
     places are shown: name another table, or change the kind of this one.";
NoTable = "SW0217", "A table is needed, and there is none.":
    "The node or table works on a table of this kind. It takes the only one of its kind by itself; this \
     graph has none. Add one under `tables:`.";
SeveralTables = "SW0218", "It is not clear which table is meant.":
    "The node or table works on a table of this kind, and the graph has more than one. Say which one by \
     its name, in the setting shown.";
ServesWhich = "SW0219", "A table does not say which interfaces it serves.":
    "The only table of a kind serves all interfaces. Where there are several, each has to say which \
     interfaces are its own: list their names, in the setting shown.";
ServesNone = "SW0220", "A table serves no interface.":
    "The table is about the interfaces that it serves, and these are none: the list is empty, or the \
     graph has no interfaces, or none of those that it serves has an address. Without interfaces the \
     table is of no use, so an empty list is an error; the others are warnings.";
UnusedTable = "SW0221", "No node uses a table.":
    "Neither a node nor a table that a node uses refers to this table, so nothing that is in it has an \
     effect. The graph runs all the same.";
OffSubnet = "SW0222", "An address is on no interface's subnet.":
    "A next hop or neighbour is reached over the interface on whose subnet its address is. This one is on \
     no subnet of the interfaces that the table serves: the address is wrong, an interface lacks an \
     address, or the setting has to name the interface.";
Doubtful = "SW0223", "A setting of a table is hardly meant.":
    "The table can do what the setting says, and it is hardly what was meant: a rule that another one before \
     it hides, for example. The message says what the table has found. The graph runs all the same.";
FewBuffers = "SW0224", "Full rings between workers would leave few buffers.":
    "Packets on their way to another worker wait in a ring, one for each pair of workers and direction, of 1024 \
     packets each, or more if there are many buffers. Under overload rings can be full, and what they hold is \
     missing where packets are received: so there should be 1024 buffers for each ring, and as many for each worker. The graph runs all the same; with \
     fewer, packets may be dropped as `out-of-buffers`.";
Offload = "SW0225", "No driver can do the work of a node.":
    "The node asks, by `offload`, that the drivers of interfaces drop packets for it before they come in. A \
     driver sees packets as they arrive, and what it drops is gone: so all that the node gets has to come \
     straight from nodes that receive, and what it drops must not be wired to another node.";

// The language: variables, included files, templates.
Variable = "SW0301", "An environment variable is not set.":
    "`${NAME}` stands for the value of an environment variable, and this one is not set where the \
     program runs. Set it, or say what holds without it: `${NAME:-default}` takes the default if the \
     variable is not set or is empty.";
Substitution = "SW0302", "A reference cannot be replaced.":
    "`${` starts a reference to an environment variable (upper case) or to a parameter of the template \
     around (lower case), with a closing `}`. Within a text only a string, a number or a boolean can \
     stand; a list or a mapping stands alone: `key: ${parameter}`. The characters `${` themselves are \
     written `$${`.";
Include = "SW0303", "A file cannot be included.":
    "A path under `include` leads to no file that can be read, or is not a pattern. Paths are relative \
     to the file in which they stand.";
IncludeCycle = "SW0304", "Files include each other in a circle.":
    "A file is included by itself, or by a file that it includes. Each file is read once, so move what \
     both need to a third file and include that in both.";
NothingIncluded = "SW0305", "A pattern matches no file.":
    "A pattern such as `ports/*.yaml` under `include` matches nothing, so nothing is included. That may be \
     meant; a wrong directory looks the same. The graph runs all the same.";
DefinedTwice = "SW0306", "A name is defined in two files.":
    "The files of a graph are merged by section, and a name of a section belongs to one entry. Both \
     places are shown: rename or remove one.";
UnknownTemplate = "SW0307", "A template is not known.":
    "The word after `template:` names no entry of the section `templates`, here or in an included file.";
TemplateCycle = "SW0308", "Templates contain each other.":
    "An instance of a template has an instance of the same template inside, directly or through others. It \
     would never end.";
UnknownParameter = "SW0309", "A parameter is not known.":
    "A template has the parameters that stand under its `parameters`. An instance gives arguments for \
     these, and inside of the template `${name}` stands for the argument. Environment variables are \
     written in upper case.";
MissingArgument = "SW0310", "A parameter of a template is not given.":
    "The template declares a parameter without a default, so that each instance must say what it is: write \
     it beside `template:`.";
BadArgument = "SW0311", "A parameter has a wrong value.":
    "The template declares what type the parameter is of, or that it names an interface or a table, and \
     the value is something else.";
TemplateBudget = "SW0312", "Templates copy too much.":
    "Each instance is a copy of its template, and templates in templates can grow a few lines to gigabytes, \
     so that all instances together are limited to 131,072 values.";
Entrance = "SW0313", "Packets cannot be sent into an instance there.":
    "An edge that leads to an instance of a template leads to the first entry of the template's `in`, and \
     `instance/name` to the entry of that name. Other nodes of a template are its own.";
DataFile = "SW0314", "A file of data cannot be read.":
    "A setting `NAME-from` names a file with the entries of the setting `NAME`, or a list of such files: a CSV file whose first line \
     names the keys, a YAML or JSON file that is a list, or a text file with an entry in each line.";
UnusedTemplate = "SW0315", "A template is not used.":
    "No node is an instance of the template, so that what stands in it is not looked at. The graph runs all \
     the same.";
WiredTwice = "SW0316", "An edge is wired twice.":
    "An edge leads to one node. Here it is wired in two places: in the template, and by an edge of the \
     instance that stands for it; or by two of these.";

// The tests: can they be run?
PacketText = "SW0401", "A packet of a test cannot be read.":
    "A packet is written as `PROTOCOL SOURCE > DESTINATION` and words such as `ttl 3`, or as `hex` and \
     the digits of the whole frame. The caret stands at the word that does not fit. In a list in \
     brackets a comma ends a text: put a packet that has one in quotes.";
TestName = "SW0402", "A test has no name, or that of another.":
    "Results are told by the name of the test, so each test of a file has one, and no two have the same. \
     Say in a sentence what the test shows.";
UnknownDrop = "SW0404", "A test expects a drop that cannot be.":
    "A drop is named by its node and its reason, as `ip4.bad-checksum`. The reasons of a node are those of \
     its kind (`swath nodes KIND` lists them) and those that the engine has for every node. An edge that is \
     wired leads to another node, and drops nothing.";
TestCapture = "SW0405", "A capture of a test cannot be used.":
    "The file after `pcap:` is not there, is no capture (pcap or pcapng) of Ethernet frames, or ends within a \
     frame. A relative path counts from the directory of the graph file.";
TestTime = "SW0406", "The steps of a test are not in the order of time.":
    "The times of steps count from the start of the test, and each is later than those of the steps before. A \
     step without `at` follows the one before at once.";

// The libraries: can they be loaded?
PluginFile = "SW0501", "The library of a plugin cannot be used.":
    "A plugin is named by a file, without directories, which is looked for in the directories of plugins: those of \
     `--plugin-path` or of `SWATH_PLUGIN_PATH`, or else /usr/local/lib/swath/plugins and /usr/lib/swath/plugins. A library is code that the engine \
     runs with all its rights: so the file and its directory belong to root or to who runs swath, and nobody else may write to them.";
PluginHash = "SW0502", "The library of a plugin is not the one that is meant.":
    "The graph says by `sha256` what the file has to be, and it is something else: another build, or one that somebody has changed. \
     `sha256sum FILE` says what it is.";
PluginRefused = "SW0503", "A library is no plugin, or none for this swath.":
    "The library was looked at before anything of it was called, and does not fit. The message names both sides: what the library \
     has, what this swath has, and what to do. `swath plugin check FILE` says the same of a file without a graph.";
PluginKind = "SW0504", "Two libraries have a kind of one name.":
    "A kind is known by its name, so that no two may have the same: neither two plugins of a graph, nor a plugin and this program. Leave one of the \
     plugins out, or take a build of it whose kind has another name.";
PluginChanged = "SW0505", "The file of a plugin was changed while it is in use.":
    "A library that was loaded stays until the process ends, so another one cannot come by the same file name. Put the new build beside it \
     under a new name, as `libname-2.so`, name that in the graph and reload: state goes over from one to the other.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_explained() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            let digits = code.text().strip_prefix("SW").unwrap();
            assert!(digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()));
            assert!(code.title().ends_with('.'), "{}", code.text());
            assert!(code.explanation().ends_with('.'), "{}", code.text());
            assert!(!code.explanation().contains("  "), "{}", code.text());
        }
    }
}
