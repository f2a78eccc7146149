package htmlreport

import "golang.org/x/net/html"

// part is of an element: an attribute, text, or an element in it.
type part func(of *html.Node)

// el is an element.
func el(name string, parts ...part) part { return node(element(name, parts...)) }

// node is an element that is made.
func node(n *html.Node) part { return func(of *html.Node) { of.AppendChild(n) } }

// element is one that stands in no other yet.
func element(name string, parts ...part) *html.Node {
	n := &html.Node{Type: html.ElementNode, Data: name}
	group(parts...)(n)
	return n
}

// attr is an attribute, none where it is empty.
func attr(name, value string) part {
	return func(of *html.Node) {
		if value != "" {
			of.Attr = append(of.Attr, html.Attribute{Key: name, Val: value})
		}
	}
}

// text is text. The library escapes it, but for style and script, where HTML has no
// escapes.
func text(t string) part {
	return func(of *html.Node) { of.AppendChild(&html.Node{Type: html.TextNode, Data: t}) }
}

// group is parts one after the other, or none.
func group(parts ...part) part {
	return func(of *html.Node) {
		for _, p := range parts {
			p(of)
		}
	}
}

// each is a part of each of a list.
func each[T any](list []T, markup func(T) part) part {
	parts := make([]part, 0, len(list))
	for _, x := range list {
		parts = append(parts, markup(x))
	}
	return group(parts...)
}
