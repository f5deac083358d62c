/** The text of contract.ts as the documents are now. */
export declare function contract(): Promise<string>;
