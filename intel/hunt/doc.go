// Package hunt answers who of us was in contact with an address: [Search] looks for a question
// (package question) in the folder of a contact history and gives rows in the words of the
// events, newest first, with a [Summary] of what was searched and up to when it is complete.
//
// It owns the words of a row, the two forms of it that other programs read, JSON and CSV, and
// the lines in which an answer comes from the running instance ([ReadAnswer]), which answers
// questions over its control socket. 'flowsnitch hunt' searches by itself where no instance
// runs. Which files there are, and what is in them, is known by
// flow/history/folder and flow/history/file.
package hunt
