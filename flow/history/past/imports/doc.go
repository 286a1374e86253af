// Package imports keeps the folders of imported histories, one for each name: which there are and
// what they hold, how one is removed, and how files become one. Those are made in a folder
// aside, which becomes visible as a whole. What a crash has left is completed if all its files
// were there, else removed, by the next command that changes anything.
//
// One lock covers all imports. A running instance never writes below their folder.
package imports
